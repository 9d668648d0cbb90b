"""From a command line to a finished job: what is asked, what it takes, what it leaves."""
