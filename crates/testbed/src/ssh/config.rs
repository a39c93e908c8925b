//! `sshd_config` and what PAM asks for.

use std::net::SocketAddr;
use std::path::Path;

use super::key::KeyKind;
use super::{SshdOptions, account};
use crate::TestbedError;

/// Only passwords of `shadow`, and no messages of the day.
const PAM: &str = "auth required pam_unix.so\naccount required pam_unix.so\nsession required pam_unix.so\n";

/// Writes `sshd_config` and `pam`.
pub(super) fn write(dir: &Path, address: SocketAddr, options: &SshdOptions) -> Result<(), TestbedError> {
    let at = dir.display();
    let yes_no = |yes: bool| if yes { "yes" } else { "no" };
    // sshd takes the first value of each setting.
    let mut text = options.settings.join("\n");
    text.push_str(&format!("\nListenAddress {address}\nAuthorizedKeysFile {at}/keys/%u\n"));
    for kind in KeyKind::ALL {
        text.push_str(&format!("HostKey {at}/host_{}\n", kind.name()));
        if options.host_authority.is_some() {
            text.push_str(&format!("HostCertificate {at}/host_{}-cert.pub\n", kind.name()));
        }
    }
    if let Some(authority) = &options.user_authority {
        account::put(&dir.join("user_authority.pub"), &format!("{authority}\n"), 0o644)?;
        text.push_str(&format!("TrustedUserCAKeys {at}/user_authority.pub\n"));
    }
    let passwords = options.accounts.iter().any(|account| account.password.is_some());
    text.push_str(&format!("PasswordAuthentication {}\n", yes_no(passwords)));
    text.push_str(&format!(
        "KbdInteractiveAuthentication {0}\nUsePAM {0}\n",
        yes_no(options.keyboard_interactive)
    ));
    text.push_str(&format!(
        "PermitRootLogin yes\nStrictModes no\nPidFile none\nLogLevel VERBOSE\nMaxStartups 200\nMaxSessions 100\n\
         PrintMotd no\nPrintLastLog no\nUseDNS no\nX11Forwarding yes\nAcceptEnv LANG LC_* DEMO_*\n\
         Subsystem sftp {at}/sftp\n"
    ));
    account::put(&dir.join("sshd_config"), &text, 0o644)?;
    account::put(&dir.join("pam"), PAM, 0o644)
}
