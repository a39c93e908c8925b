//! Which gateway a command speaks to, and as whom.

use anyhow::Context;
use clap::Args;
use sallyport_identity::client::GatewayClient;
use secrecy::SecretString;

/// The gateway's API and the login to use there.
#[derive(Clone, Debug, Args)]
pub(crate) struct Caller {
    /// Address of the gateway's API; that of the last login when left out.
    #[arg(long, global = true, env = "SALLYPORT_API", value_name = "URL")]
    pub(crate) api: Option<String>,
}

impl Caller {
    /// The API, as who is logged in there. `SALLYPORT_TOKEN`, if set, is used instead of the saved login.
    ///
    /// # Errors
    /// When nobody is logged in, or the login has ended.
    pub(crate) fn logged_in(&self) -> anyhow::Result<GatewayClient> {
        let token = std::env::var("SALLYPORT_TOKEN")
            .ok()
            .filter(|t| !t.is_empty())
            .map(SecretString::from);
        // A token alone does not say where: the address of the last login will do.
        let api = match &token {
            Some(_) => Some(self.address()?),
            None => self.api.clone(),
        };
        Ok(GatewayClient::logged_in(api.as_deref(), token)?)
    }

    /// The address that was given, or that of the last login.
    ///
    /// # Errors
    /// When there is neither.
    pub(crate) fn address(&self) -> anyhow::Result<String> {
        use sallyport_identity::credentials::Credentials;
        if let Some(api) = &self.api {
            return Ok(api.clone());
        }
        let credentials = Credentials::load(&Credentials::default_path()?)?;
        let (api, _) = credentials
            .login(None)
            .context("give the address of the gateway's API with --api")?;
        Ok(api.to_owned())
    }
}
