//! Where credentials are: the stores of a file, and what its targets say of them.

use std::{collections::BTreeSet, sync::Arc};

use sallyport_credential::{Credentials, Source, Stores};
use toml::Spanned;

use super::{CatalogueError, Reader};
use crate::{
    Broker,
    file::{Entry, File},
};

/// One kind of store: what its table is called, and where things are.
struct Kind<S> {
    table: &'static str,
    name: fn(&S) -> &String,
    list: fn(&mut Stores) -> &mut Vec<S>,
}

impl Reader<'_> {
    /// What fetches from the stores of a file.
    pub(super) fn stores(&self, file: &File, broker: &Broker) -> Result<Arc<Credentials>, CatalogueError> {
        macro_rules! kind {
            ($table:ident) => {
                Kind {
                    table: stringify!($table),
                    name: |store| &store.name,
                    list: |stores| &mut stores.$table,
                }
            };
        }
        let mut all = Stores::default();
        self.read(&file.vault, &kind!(vault), broker, &mut all)?;
        self.read(&file.aws, &kind!(aws), broker, &mut all)?;
        self.read(&file.azure, &kind!(azure), broker, &mut all)?;
        self.read(&file.google, &kind!(google), broker, &mut all)?;
        self.read(&file.kubernetes, &kind!(kubernetes), broker, &mut all)?;
        all.anchor(self.base);
        broker.credentials(all).map_err(|message| self.error(0..0, message))
    }

    /// Each store by itself first, so that a mistake has its line.
    fn read<S: Clone>(
        &self,
        stores: &[Spanned<S>],
        kind: &Kind<S>,
        broker: &Broker,
        all: &mut Stores,
    ) -> Result<(), CatalogueError> {
        let mut names = BTreeSet::new();
        for store in stores {
            let mut alone = Stores::default();
            (kind.list)(&mut alone).push(store.get_ref().clone());
            alone.anchor(self.base);
            if let Err(message) = broker.check(&alone) {
                return self.at(store, message);
            }
            let name = (kind.name)(store.get_ref());
            if !names.insert(name) {
                return self.at(store, format!("there is already a `[[{}]]` `{name}`", kind.table));
            }
            (kind.list)(all).push(store.get_ref().clone());
        }
        Ok(())
    }

    /// Whether a target leaves alone what is the process's own.
    pub(super) fn check_own(&self, entry: &Entry, broker: &Broker) -> Result<(), CatalogueError> {
        let own = broker.own();
        let files = [
            &entry.password_file,
            &entry.ca_file,
            &entry.client_certificate,
            &entry.client_key,
            &entry.private_key_file,
            &entry.private_key_passphrase_file,
        ];
        for file in files.into_iter().flatten() {
            if let Err(message) = own.check_file(&self.path(file.get_ref())) {
                return self.at(file, message);
            }
        }
        for variable in [&entry.password_env, &entry.private_key_passphrase_env]
            .into_iter()
            .flatten()
        {
            if let Err(message) = own.check_variable(variable.get_ref()) {
                return self.at(variable, message);
            }
        }
        for source in [&entry.credential, &entry.private_key].into_iter().flatten() {
            let anchored = self.anchored(source);
            let checked = if let Source::File(file) = &anchored {
                own.check_file(&file.path)
            } else if let Source::Environment(variable) = &anchored {
                own.check_variable(&variable.variable)
            } else {
                Ok(())
            };
            if let Err(message) = checked {
                return self.at(source, message);
            }
        }
        Ok(())
    }

    /// Whether what a target says of its credential can be used with the stores of the file.
    pub(super) fn check_sources(&self, entry: &Entry, credentials: &Credentials) -> Result<(), CatalogueError> {
        for source in [&entry.credential, &entry.private_key].into_iter().flatten() {
            if let Err(message) = credentials.understands(source.get_ref()) {
                return self.at(source, message);
            }
        }
        Ok(())
    }

    /// Where the password is, if there is one: in one place, so that nobody has to guess which counts.
    pub(super) fn credential(&self, spanned: &Spanned<Entry>) -> Result<Option<Source>, CatalogueError> {
        let entry = spanned.get_ref();
        let file = entry.password_file.as_ref();
        let file = file.map(|path| Source::file(self.path(path.get_ref())));
        let variable = entry.password_env.as_ref();
        let variable = variable.map(|name| Source::environment(name.get_ref()));
        let source = entry.credential.as_ref().map(|source| self.anchored(source));
        let mut ways = [file, variable, source].into_iter().flatten();
        match (ways.next(), ways.next()) {
            (way, None) => Ok(way),
            (_, Some(_)) => {
                let name = entry.name.get_ref();
                let known = "`password_file`, `password_env` and `credential`";
                self.at(
                    spanned,
                    format!("`{name}` has two ways to log in; choose one of {known}"),
                )
            }
        }
    }

    pub(super) fn anchored(&self, source: &Spanned<Source>) -> Source {
        let mut source = source.get_ref().clone();
        source.anchor(self.base);
        source
    }
}
