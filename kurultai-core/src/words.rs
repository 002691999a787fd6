//! Closed sets of words.

/// A closed set of words that crosses every language and both stores as lower-case text.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $field:literal { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $(#[doc = concat!("`", $word, "`\n")] $(#[$vdoc])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            /// Every one, in the order of their declaration.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// The word for it in every language and both stores.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::error::Error;

            fn from_str(text: &str) -> $crate::error::Result<Self> {
                let found = $name::ALL.iter().find(|word| word.as_str() == text);
                found.copied().ok_or_else(|| $crate::error::Error::invalid($field, text, concat!($($word, " "),+).trim_end()))
            }
        }
    };
}
pub(crate) use words;
