//! The kinds of value that are recognised by their content.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A built-in detector. The text form (`credit_card`, `ssn` …) is what configuration uses.
///
/// The order of the variants is the order of precedence where two values overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Detector {
    /// PEM and PGP private keys, also cut short or with escaped line ends.
    PrivateKey,
    /// JSON Web Tokens (RFC 7519) whose header decodes and names an algorithm; JWE too.
    Jwt,
    /// AWS access key ids (`AKIA…`, `ASIA…`).
    AwsAccessKey,
    /// AWS secret access keys, after their name.
    AwsSecretKey,
    /// Google API keys (`AIza…`).
    GcpApiKey,
    /// GitHub tokens (`ghp_…`, `github_pat_…` …).
    GithubToken,
    /// GitLab personal access tokens (`glpat-…`).
    GitlabToken,
    /// npm access tokens (`npm_…`).
    NpmToken,
    /// Slack tokens (`xoxb-…` …).
    SlackToken,
    /// Slack incoming webhooks.
    SlackWebhook,
    /// Stripe live keys and the secrets of its webhooks (`sk_live_…`, `rk_live_…`, `whsec_…`).
    StripeKey,
    /// OpenAI keys, and those of others who speak its API (`sk-…`, `sk-proj-…` …).
    OpenaiKey,
    /// Anthropic keys (`sk-ant-…`).
    AnthropicKey,
    /// SendGrid keys (`SG.….…`).
    SendgridKey,
    /// Twilio key and account identifiers (`SK…`, `AC…`).
    TwilioKey,
    /// PyPI tokens (`pypi-AgE…`).
    PypiToken,
    /// Azure keys: by the mark in them, in connection strings, and in shared access signatures.
    AzureKey,
    /// DigitalOcean tokens (`dop_v1_…` …).
    DigitaloceanToken,
    /// Shopify tokens (`shpat_…` …).
    ShopifyToken,
    /// HashiCorp Vault tokens (`hvs.…` …).
    VaultToken,
    /// HashiCorp Terraform tokens (`….atlasv1.…`).
    TerraformToken,
    /// Databricks tokens (`dapi…`).
    DatabricksToken,
    /// Hugging Face tokens (`hf_…`).
    HuggingfaceToken,
    /// Docker Hub tokens (`dckr_pat_…` …).
    DockerToken,
    /// Google OAuth client secrets and access tokens (`GOCSPX-…`, `ya29.…`).
    GoogleOauth,
    /// The password in `scheme://user:password@host`.
    UrlPassword,
    /// International bank account numbers (ISO 13616) with a right checksum.
    Iban,
    /// Payment card numbers (ISO/IEC 7812) of a known issuer with a right Luhn digit.
    CreditCard,
    /// US social security numbers that could have been issued.
    Ssn,
    /// E-mail addresses, internationalised ones too.
    Email,
    /// Phone numbers, international or written as in North America.
    Phone,
    /// IPv4 and IPv6 addresses.
    Ip,
}

impl Detector {
    /// Every built-in detector, in order of precedence.
    pub const ALL: [Self; 32] = [
        Self::PrivateKey,
        Self::Jwt,
        Self::AwsAccessKey,
        Self::AwsSecretKey,
        Self::GcpApiKey,
        Self::GithubToken,
        Self::GitlabToken,
        Self::NpmToken,
        Self::SlackToken,
        Self::SlackWebhook,
        Self::StripeKey,
        Self::OpenaiKey,
        Self::AnthropicKey,
        Self::SendgridKey,
        Self::TwilioKey,
        Self::PypiToken,
        Self::AzureKey,
        Self::DigitaloceanToken,
        Self::ShopifyToken,
        Self::VaultToken,
        Self::TerraformToken,
        Self::DatabricksToken,
        Self::HuggingfaceToken,
        Self::DockerToken,
        Self::GoogleOauth,
        Self::UrlPassword,
        Self::Iban,
        Self::CreditCard,
        Self::Ssn,
        Self::Email,
        Self::Phone,
        Self::Ip,
    ];

    /// The name that configuration and recordings use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivateKey => "private_key",
            Self::Jwt => "jwt",
            Self::AwsAccessKey => "aws_access_key",
            Self::AwsSecretKey => "aws_secret_key",
            Self::GcpApiKey => "gcp_api_key",
            Self::GithubToken => "github_token",
            Self::GitlabToken => "gitlab_token",
            Self::NpmToken => "npm_token",
            Self::SlackToken => "slack_token",
            Self::SlackWebhook => "slack_webhook",
            Self::StripeKey => "stripe_key",
            Self::OpenaiKey => "openai_key",
            Self::AnthropicKey => "anthropic_key",
            Self::SendgridKey => "sendgrid_key",
            Self::TwilioKey => "twilio_key",
            Self::PypiToken => "pypi_token",
            Self::AzureKey => "azure_key",
            Self::DigitaloceanToken => "digitalocean_token",
            Self::ShopifyToken => "shopify_token",
            Self::VaultToken => "vault_token",
            Self::TerraformToken => "terraform_token",
            Self::DatabricksToken => "databricks_token",
            Self::HuggingfaceToken => "huggingface_token",
            Self::DockerToken => "docker_token",
            Self::GoogleOauth => "google_oauth",
            Self::UrlPassword => "url_password",
            Self::Iban => "iban",
            Self::CreditCard => "credit_card",
            Self::Ssn => "ssn",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Ip => "ip",
        }
    }

    /// What replaces a secret that has no readable part.
    pub(crate) const fn redacted(self) -> &'static str {
        match self {
            Self::PrivateKey => "[REDACTED:private_key]",
            Self::Jwt => "[REDACTED:jwt]",
            Self::AwsAccessKey => "[REDACTED:aws_access_key]",
            Self::AwsSecretKey => "[REDACTED:aws_secret_key]",
            Self::GcpApiKey => "[REDACTED:gcp_api_key]",
            Self::GithubToken => "[REDACTED:github_token]",
            Self::GitlabToken => "[REDACTED:gitlab_token]",
            Self::NpmToken => "[REDACTED:npm_token]",
            Self::SlackToken => "[REDACTED:slack_token]",
            Self::SlackWebhook => "[REDACTED:slack_webhook]",
            Self::StripeKey => "[REDACTED:stripe_key]",
            Self::OpenaiKey => "[REDACTED:openai_key]",
            Self::AnthropicKey => "[REDACTED:anthropic_key]",
            Self::SendgridKey => "[REDACTED:sendgrid_key]",
            Self::TwilioKey => "[REDACTED:twilio_key]",
            Self::PypiToken => "[REDACTED:pypi_token]",
            Self::AzureKey => "[REDACTED:azure_key]",
            Self::DigitaloceanToken => "[REDACTED:digitalocean_token]",
            Self::ShopifyToken => "[REDACTED:shopify_token]",
            Self::VaultToken => "[REDACTED:vault_token]",
            Self::TerraformToken => "[REDACTED:terraform_token]",
            Self::DatabricksToken => "[REDACTED:databricks_token]",
            Self::HuggingfaceToken => "[REDACTED:huggingface_token]",
            Self::DockerToken => "[REDACTED:docker_token]",
            Self::GoogleOauth => "[REDACTED:google_oauth]",
            Self::UrlPassword => "[REDACTED]",
            Self::Iban | Self::CreditCard | Self::Ssn | Self::Email | Self::Phone | Self::Ip => "***",
        }
    }

    /// Whether the value is a credential rather than personal data.
    pub const fn is_secret(self) -> bool {
        match self {
            Self::PrivateKey
            | Self::Jwt
            | Self::AwsAccessKey
            | Self::AwsSecretKey
            | Self::GcpApiKey
            | Self::GithubToken
            | Self::GitlabToken
            | Self::NpmToken
            | Self::SlackToken
            | Self::SlackWebhook
            | Self::StripeKey
            | Self::OpenaiKey
            | Self::AnthropicKey
            | Self::SendgridKey
            | Self::TwilioKey
            | Self::PypiToken
            | Self::AzureKey
            | Self::DigitaloceanToken
            | Self::ShopifyToken
            | Self::VaultToken
            | Self::TerraformToken
            | Self::DatabricksToken
            | Self::HuggingfaceToken
            | Self::DockerToken
            | Self::GoogleOauth
            | Self::UrlPassword => true,
            Self::Iban | Self::CreditCard | Self::Ssn | Self::Email | Self::Phone | Self::Ip => false,
        }
    }

    pub(crate) const fn bit(self) -> u64 {
        1 << (self as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Detector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No built-in detector has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no built-in detector `{0}`")]
pub struct UnknownDetector(pub String);

impl FromStr for Detector {
    type Err = UnknownDetector;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|detector| detector.name() == name)
            .ok_or_else(|| UnknownDetector(name.to_owned()))
    }
}

impl TryFrom<String> for Detector {
    type Error = UnknownDetector;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Detector> for String {
    fn from(detector: Detector) -> Self {
        detector.name().to_owned()
    }
}
