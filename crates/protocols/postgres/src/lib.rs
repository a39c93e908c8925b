//! sallyport-postgres
