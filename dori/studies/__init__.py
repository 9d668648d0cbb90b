"""A folder for each study: the order of its steps, and what only it says of its rows."""
