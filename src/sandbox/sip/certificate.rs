//! A certificate for the bridge's SIP listener that lives as long as the sandbox.

use std::io;
use std::path::Path;

/// Writes `sip.pem` and `sip.key` for this name; gives the certificate as DER, for who is to trust it.
///
/// # Errors
/// When it cannot be made or written.
pub fn write(directory: &Path, hostname: &str) -> io::Result<Vec<u8>> {
    let made = rcgen::generate_simple_self_signed(vec![hostname.to_owned()]).map_err(io::Error::other)?;
    std::fs::write(directory.join("sip.pem"), made.cert.pem())?;
    std::fs::write(directory.join("sip.key"), made.signing_key.serialize_pem())?;
    Ok(made.cert.der().to_vec())
}
