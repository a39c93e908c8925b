//! Which values of a pool are meant: a set of small numbers.

/// The most values that a pool can have.
pub(crate) const MOST: usize = 256;

/// Some of the values of one pool, by their places in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Picks([u64; 4]);

impl Picks {
    /// The first `count` values.
    pub(crate) fn first(count: usize) -> Self {
        let mut picks = Self::default();
        (0..count.min(MOST)).for_each(|at| picks.insert(at));
        picks
    }

    /// Just this one.
    pub(crate) fn one(at: usize) -> Self {
        let mut picks = Self::default();
        picks.insert(at);
        picks
    }

    pub(crate) fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    pub(crate) fn has(self, at: usize) -> bool {
        self.0.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let Self([a, b, c, d]) = self;
        let Self([w, x, y, z]) = other;
        Self([a & w, b & x, c & y, d & z])
    }

    pub(crate) fn within(self, other: Self) -> bool {
        self.and(other) == self
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }

    pub(crate) fn len(self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..MOST).filter(move |at| self.has(*at))
    }
}
