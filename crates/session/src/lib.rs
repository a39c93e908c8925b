//! sallyport-session
