"""The command `compox`, whose commands have the names and options that scripts of compox 3.2 use."""
