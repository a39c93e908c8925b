//! sallyport-sql
