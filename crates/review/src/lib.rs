//! sallyport-review
