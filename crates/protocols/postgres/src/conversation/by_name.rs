//! Things by name. The one without a name changes with nearly every command, so it has a place of its own.

use std::collections::HashMap;

#[derive(Debug)]
pub(super) struct ByName<T> {
    unnamed: Option<T>,
    named: HashMap<Box<[u8]>, T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self {
            unnamed: None,
            named: HashMap::new(),
        }
    }
}

impl<T> ByName<T> {
    pub(super) fn get(&self, name: &[u8]) -> Option<&T> {
        if name.is_empty() {
            self.unnamed.as_ref()
        } else {
            self.named.get(name)
        }
    }

    /// Returns what had the name.
    pub(super) fn insert(&mut self, name: &[u8], thing: T) -> Option<T> {
        if name.is_empty() {
            self.unnamed.replace(thing)
        } else {
            self.named.insert(name.into(), thing)
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<T> {
        if name.is_empty() {
            self.unnamed.take()
        } else {
            self.named.remove(name)
        }
    }

    pub(super) fn len(&self) -> usize {
        self.named.len() + usize::from(self.unnamed.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.named.values().chain(&self.unnamed)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.named.retain(|_, thing| keep(thing));
        self.unnamed.take_if(|thing| !keep(thing));
    }

    pub(super) fn clear(&mut self) {
        self.unnamed = None;
        self.named.clear();
    }

    /// Takes all that have a name.
    pub(super) fn drain_named(&mut self) -> impl Iterator<Item = (Box<[u8]>, T)> + '_ {
        self.named.drain()
    }
}
