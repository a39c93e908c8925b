//! sallyport-ledger
