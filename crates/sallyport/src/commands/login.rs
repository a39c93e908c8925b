//! `sallyport login` and `sallyport logout`.

use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use clap::Args;
use sallyport_identity::client::GatewayClient;
use sallyport_identity::credentials::{Credentials, SavedLogin};
use sallyport_identity::messages::{AuthConfig, LoginReply, OidcLogin, PasswordLogin, ProviderInfo};
use sallyport_identity::oidc::flow::{DeviceCode, Flow};
use secrecy::SecretString;
use time::OffsetDateTime;

use super::caller::Caller;
use super::ssh::SshIdentity;

/// Log in at a gateway: with the browser, by device code, or with a password.
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    caller: Caller,
    /// Authorities (PEM) of the gateway's certificate, instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Authorities (PEM) of the identity provider's certificate, instead of the system's.
    #[arg(long, value_name = "FILE")]
    provider_ca_file: Option<PathBuf>,
    /// The identity provider, when the gateway knows several.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Log in on another device, with a code that is shown here.
    #[arg(long)]
    device: bool,
    /// Show the address instead of opening a browser.
    #[arg(long, conflicts_with = "device")]
    no_browser: bool,
    /// Log in with the password of this user of the gateway's people file; it is asked for, or read from standard input.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["device", "provider", "no_browser"])]
    user: Option<String>,
}

/// End the login at a gateway, and every token it was used to get.
#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    #[command(flatten)]
    caller: Caller,
}

impl LoginArgs {
    /// Logs in and keeps the login.
    ///
    /// # Errors
    /// When the login fails or cannot be kept.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let api = self.caller.address()?;
        let path = Credentials::default_path()?;
        // Read before anybody is bothered, so that a file that cannot be used is told now.
        let mut credentials = Credentials::load(&path)?;
        let gateway = GatewayClient::new(&api, None, self.ca_file.as_deref())?;
        let config = gateway.auth_config().await?;
        let reply = match self.user.as_deref() {
            Some(user) => with_password(&gateway, user).await?,
            None if config.providers.is_empty() => {
                bail!("`{api}` knows no identity provider: log in with `--user NAME` and a password");
            }
            None => self.with_provider(&gateway, config).await?,
        };
        writeln!(stderr(), "{}", welcome(&api, &reply))?;
        let login = SavedLogin {
            user: reply.user.to_string(),
            token: reply.token,
            expires: reply.expires,
            ca_file: self.ca_file.as_deref().map(std::path::absolute).transpose()?,
        };
        let gateway = GatewayClient::new(&api, Some(login.token.0.clone()), login.ca_file.as_deref())?;
        credentials.keep(&api, login);
        credentials.save()?;
        // The login is good without it, and there may be no SSH there.
        if let Err(error) = SshIdentity::at(&api)?.renew(&gateway).await {
            say(&format!("There is no SSH certificate: {error:#}"));
        }
        Ok(())
    }

    async fn with_provider(&self, gateway: &GatewayClient, config: AuthConfig) -> anyhow::Result<LoginReply> {
        let AuthConfig { providers, nonce, .. } = config;
        let provider = chosen(providers, self.provider.as_deref())?;
        let (name, issuer) = (provider.name.clone(), provider.issuer.clone());
        let flow = Flow::begin(provider, nonce.clone(), self.provider_ca_file.as_deref()).await?;
        let id_token = if self.device {
            flow.device(|code| say(&device_words(&issuer, code))).await?
        } else {
            flow.browser(|address| {
                let opened = !self.no_browser && open_browser(address.as_str());
                let words = if opened {
                    "A browser was opened. If it was not, go to"
                } else {
                    "To log in, go to"
                };
                say(&format!("{words}\n\n  {address}\n"));
            })
            .await?
        };
        let login = OidcLogin {
            provider: Some(name),
            id_token: id_token.into(),
            nonce,
        };
        Ok(gateway.login_oidc(&login).await?)
    }
}

impl LogoutArgs {
    /// Revokes the login at the gateway and forgets it here.
    ///
    /// # Errors
    /// When the gateway cannot be reached: then the login is forgotten here all the same.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let api = self.caller.address()?;
        let mut credentials = Credentials::load(&Credentials::default_path()?)?;
        let Some(login) = credentials.forget(&api) else {
            bail!("nobody is logged in at `{api}`")
        };
        credentials.save()?;
        SshIdentity::at(&api)?.forget()?;
        if login.expires <= OffsetDateTime::now_utc() {
            return Ok(());
        }
        let gateway = GatewayClient::new(&api, Some(login.token.0), login.ca_file.as_deref())?;
        gateway
            .logout()
            .await
            .context("the login is forgotten here, but goes on at the gateway")
    }
}

async fn with_password(gateway: &GatewayClient, user: &str) -> anyhow::Result<LoginReply> {
    let password = ask_password(&format!("Password of {user}: "))?.into();
    Ok(gateway
        .login_password(&PasswordLogin {
            user: user.to_owned(),
            password,
        })
        .await?)
}

/// Asks for a password without showing it, or reads a line of standard input when that is no terminal.
pub(super) fn ask_password(prompt: &str) -> anyhow::Result<SecretString> {
    if stdin().is_terminal() {
        return Ok(rpassword::prompt_password(prompt)?.into());
    }
    let mut line = String::new();
    stdin().read_line(&mut line)?;
    let password = line.strip_suffix('\n').unwrap_or(&line);
    Ok(password.strip_suffix('\r').unwrap_or(password).into())
}

fn chosen(mut providers: Vec<ProviderInfo>, name: Option<&str>) -> anyhow::Result<ProviderInfo> {
    let names: Vec<&str> = providers.iter().map(|p| p.name.as_str()).collect();
    let names = names.join("`, `");
    let at = match name {
        Some(name) => providers.iter().position(|p| p.name == name),
        None => (providers.len() == 1).then_some(0),
    };
    match at {
        Some(at) => Ok(providers.swap_remove(at)),
        None => bail!("choose one of the gateway's identity providers with --provider: `{names}`"),
    }
}

fn device_words(issuer: &str, code: &DeviceCode) -> String {
    let minutes = code.expires_in.as_secs() / 60;
    let direct = code
        .page_with_code
        .as_ref()
        .map(|page| format!("\n\nor, with the code in it, to\n\n  {page}"));
    format!(
        "To log in at {issuer}, go to\n\n  {}\n\nwithin {minutes} minutes and type the code\n\n  {}{}\n\n\
         Nobody else may give you a code to type there: it would log them in as you.",
        code.page,
        code.code,
        direct.unwrap_or_default(),
    )
}

fn welcome(api: &str, reply: &LoginReply) -> String {
    let groups: Vec<&str> = reply.groups.iter().map(AsRef::as_ref).collect();
    let groups = if groups.is_empty() {
        "no groups".to_owned()
    } else {
        groups.join(", ")
    };
    let minutes = (reply.expires - OffsetDateTime::now_utc()).whole_minutes();
    format!(
        "Logged in at {api} as {} ({groups}), for {}.",
        reply.user,
        duration_words(minutes)
    )
}

/// Minutes in words.
pub(super) fn duration_words(minutes: i64) -> String {
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

fn say(words: &str) {
    // Without standard error there is nobody to tell.
    let _nobody = writeln!(stderr(), "{words}");
}

/// Whether a browser could be started.
fn open_browser(address: &str) -> bool {
    if !stdout().is_terminal() {
        return false;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut browser = Command::new(program);
    browser
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    browser.spawn().is_ok()
}
