//! What of a store's secret is wanted: all of it, or fields of the JSON object that it is.

use secrecy::SecretString;

use crate::{
    CredentialError, Leased, Need, leased,
    names::{self, Checked},
    text::{Fields, fit},
};

/// What of a secret is wanted.
pub(crate) struct Pick<'a> {
    pub(crate) field: Option<&'a str>,
    pub(crate) user_field: Option<&'a str>,
}

impl Pick<'_> {
    pub(crate) fn check(&self) -> Checked {
        if self.user_field.is_some() && self.field.is_none() {
            return Err("`user_field` needs `field`".to_owned());
        }
        let fields = [("field", self.field), ("user_field", self.user_field)];
        let given = fields.into_iter().filter_map(|(option, field)| Some((option, field?)));
        given
            .into_iter()
            .try_for_each(|(option, field)| names::printable(option, field))
    }

    pub(crate) fn lease(
        &self,
        need: &Need,
        value: &SecretString,
        place: impl Fn() -> String,
    ) -> Result<Leased, CredentialError> {
        let Some(field) = self.field else {
            return Ok(Leased::fixed(None, fit(need.kind, value, place)?, None));
        };
        let unfit = |place, why| CredentialError::Unfit {
            kind: need.kind,
            place,
            why,
        };
        let fields = Fields::parse(value).map_err(|why| unfit(place(), why))?;
        self.of(field, &fields, need, place)
    }

    /// The same, of fields that the store has itself.
    pub(crate) fn of(
        &self,
        field: &str,
        fields: &Fields,
        need: &Need,
        place: impl Fn() -> String,
    ) -> Result<Leased, CredentialError> {
        let text = |name: &str| {
            let there = || format!("the field `{name}` of {}", place());
            let found = fields.text(name).map_err(|why| CredentialError::Unfit {
                kind: need.kind,
                place: there(),
                why,
            })?;
            Ok::<_, CredentialError>((found, there()))
        };
        let (found, there) = text(field)?;
        let secret = fit(need.kind, found, || there.clone())?;
        let user = match self.user_field {
            Some(name) => {
                let (found, there) = text(name)?;
                let user = fit(crate::SecretKind::Password, found, || there.clone())?;
                Some(leased::user(user))
            }
            None => None,
        };
        Ok(Leased::fixed(user, secret, None))
    }
}
