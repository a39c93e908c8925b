//! The SSH transport (RFC 4253), keys and certificates, as a pure machine: bytes in, packets out.
