//! sallyport-listen
