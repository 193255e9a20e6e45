//! What a coefficient may be made of.

/// How common a quantity is in the formulas at hand; the search for names takes at most one that is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One that the right formulas are made of.
    Plain,
    /// One that belongs into none of them, but may have got there.
    Rare,
    /// A number that is the same everywhere, such as 2.
    Constant,
    /// One that stands in no formula but in the place of another, see [`crate::Sum::alternative`].
    Renamed,
}

/// A number with a name, which may be a factor of a coefficient.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantity {
    /// What formulas call it. `1 - NAME` is the complement of `NAME`.
    pub name: String,
    /// Its value.
    pub value: f64,
    /// How common it is.
    pub kind: Kind,
}

impl Quantity {
    /// One of [`Kind::Plain`].
    #[must_use]
    pub fn plain(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
            kind: Kind::Plain,
        }
    }

    /// One of [`Kind::Rare`].
    #[must_use]
    pub fn rare(name: impl Into<String>, value: f64) -> Self {
        Self {
            kind: Kind::Rare,
            ..Self::plain(name, value)
        }
    }

    /// One of [`Kind::Renamed`].
    #[must_use]
    pub fn renamed(name: impl Into<String>, value: f64) -> Self {
        Self {
            kind: Kind::Renamed,
            ..Self::plain(name, value)
        }
    }

    /// One of [`Kind::Constant`].
    #[must_use]
    pub fn constant(name: impl Into<String>, value: f64) -> Self {
        Self {
            kind: Kind::Constant,
            ..Self::plain(name, value)
        }
    }
}
