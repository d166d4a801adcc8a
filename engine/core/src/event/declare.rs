//! The macros that declare the events of a run: their payloads, and the table with the number of each.

/// Declares payloads of events: a frozen struct each, with its schema and what reads the former ones, the oldest first.
/// `unless` names when a former schema says all of it in the same bytes; `whole` is the struct that holds the bytes of the
/// newest one.
macro_rules! event_payloads {
    (@one $former:ty) => { 1 };
    (@is_plain $event:ident) => { false };
    (@is_plain $event:ident $plain:ident) => { $event.$plain() };
    ($(
        $(#[$meta:meta])*
        $name:ident $( $([$former:ty $(, unless $plain:ident)?])then+ $(whole $whole:ty)? )?
        { $( $(#[$field_meta:meta])* $field:ident: $type:ty, )* }
    )*) => {
        $(
            $(#[$meta])*
            #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            pub struct $name { $( $(#[$field_meta])* pub $field: $type, )* }

            impl $crate::event::payload::Stored for $name {
                const NAME: &'static str = stringify!($name);
                $(
                    const SCHEMA: u16 = 1 $(+ event_payloads!(@one $former))+;

                    fn upcast(
                        schema: u16,
                        bytes: &[u8],
                    ) -> Option<Result<Self, $crate::event::payload::CodecError>> {
                        type Reader<T> = fn(&[u8]) -> Result<T, $crate::event::payload::CodecError>;
                        let former: &[Reader<Self>] = &[$(
                            |bytes| {
                                $crate::event::payload::bytes::<$former>(Self::NAME, bytes).map(Self::from)
                            },
                        )+];
                        let read = former.get(usize::from(schema.checked_sub(1)?))?;
                        Some(read(bytes))
                    }

                    fn schema(&self) -> u16 {
                        let is_plain = [$( event_payloads!(@is_plain self $($plain)?) ),+];
                        let former = (1..).zip(is_plain).find(|(_, is)| *is);
                        former.map_or(Self::SCHEMA, |(schema, _)| schema)
                    }

                    $(
                        fn whole(&self) -> Option<Result<Vec<u8>, $crate::event::payload::CodecError>> {
                            let is_newest = self.schema() == Self::SCHEMA;
                            is_newest.then(|| {
                                let stored = <$whole>::from(self.clone());
                                $crate::event::payload::bytes_of(Self::NAME, &stored)
                            })
                        }

                        fn newest(bytes: &[u8]) -> Result<Self, $crate::event::payload::CodecError> {
                            $crate::event::payload::bytes::<$whole>(Self::NAME, bytes).map(Self::from)
                        }
                    )?
                )?
            }
        )*
    };
}

/// The table of the events: the enum over their payloads, their numbers and names.
macro_rules! run_events {
    ($( $name:ident = $code:literal, )*) => {
        $(
            impl From<$name> for RunEvent {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// A fact of a run. In JSON `{"type": "StepScheduled", …}`.
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type")]
        pub enum RunEvent {
            $(
                #[doc = concat!("[`", stringify!($name), "`], number ", stringify!($code), ".")]
                $name($name),
            )*
        }

        impl RunEvent {
            /// The kind's number in stored bytes.
            #[must_use]
            pub fn kind(&self) -> u16 {
                match self { $( Self::$name(_) => $code, )* }
            }

            /// The kind's name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Self::$name(_) => stringify!($name), )* }
            }

            /// The name of a kind's number, where it is known.
            #[must_use]
            pub fn name_of(kind: u16) -> Option<&'static str> {
                match kind { $( $code => Some(stringify!($name)), )* _ => None }
            }

            /// Every kind's number and name.
            pub const KINDS: &'static [(u16, &'static str)] = &[ $( ($code, stringify!($name)), )* ];

            pub(crate) fn write(&self) -> Result<(u16, Vec<u8>), CodecError> {
                match self { $( Self::$name(event) => payload::write(event), )* }
            }

            pub(crate) fn read(kind: u16, schema: u16, bytes: &[u8]) -> Result<Self, CodecError> {
                match kind {
                    $( $code => payload::read::<$name>(schema, bytes).map(Self::$name), )*
                    unknown => Err(CodecError::UnknownKind(unknown)),
                }
            }
        }
    };
}

pub(super) use {event_payloads, run_events};

/// Whether the list of names that pipelines are read with is that of the kinds, in the same order.
pub(super) const fn are_names_of(kinds: &[(u16, &str)], names: &[&str]) -> bool {
    if kinds.len() != names.len() {
        return false;
    }
    let mut at = 0;
    while at < names.len() {
        let (kind, name) = (kinds[at].1.as_bytes(), names[at].as_bytes());
        if kind.len() != name.len() {
            return false;
        }
        let mut byte = 0;
        while byte < name.len() {
            if kind[byte] != name[byte] {
                return false;
            }
            byte += 1;
        }
        at += 1;
    }
    true
}
