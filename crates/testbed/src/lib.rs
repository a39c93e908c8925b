//! Real servers in throw-away directories: started on a free port, ended by process id.
