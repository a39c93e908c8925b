//! sallyport-api
