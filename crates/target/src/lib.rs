//! sallyport-target
