"""From pictures to rows."""
