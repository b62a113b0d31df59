//! Checks with identifiers that never change their meaning.
//!
//! Why apart: each platform lists its own, and all lists are of one form, so that documents and tests can go through
//! them.
//!
//! # Invariants
//! A check's identifier and its words are constants.

/// Defines checks: name, identifier, what is wrong when one fails and, where the platform has it for each, what to do.
macro_rules! checks {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $check:ident = $id:literal, $wrong:literal;)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $check,)+
        }

        impl $name {
            /// Each of them, in the order of checking.
            pub const ALL: &[Self] = &[$(Self::$check),+];

            /// The stable identifier.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$check => $id),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $(Self::$check => $wrong),+ })
            }
        }
    };
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $check:ident = $id:literal, $wrong:literal, $hint:literal;)+ }) => {
        $crate::checks::checks! {
            $(#[$about])* $name { $($(#[$doc])* $check = $id, $wrong;)+ }
        }

        impl $name {
            const fn hint(self) -> &'static str {
                match self { $(Self::$check => $hint),+ }
            }
        }
    };
}

pub(crate) use checks;
