//! sallyport-mask
