//! Saved definitions and pipelines: documents by hash, and numbered versions of a name.
//!
//! Law: the stream `engine/definition-HASH` holds exactly one [`DefinitionSaved`]; the stream `engine/pipeline-NAME`
//! holds one [`PipelineSaved`] per version, numbered from 1 without gaps; what a version is never changes. Folding and
//! deciding are pure.
//!
//! Called by the runtime, which writes these streams, and by the read models and the check of a folder, which read them.

use serde::{Deserialize, Serialize};

use crate::event::DefinitionSaved;
use everfold_base::codec::{StoredError, stored};
use everfold_base::envelope::{Envelope, EventView, StreamId, StreamKind};
use everfold_base::json::Hash;

pub use everfold_language::definition::{BadPipelineRef, NAME_BYTES_MAX, PipelineRef, VersionSelector};

/// No event of these streams is longer; an append holds at most as much.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// What the id of a definition's stream starts with.
const DEFINITION_PREFIX: &str = "definition-";

/// An event of a definition's or of a pipeline's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipelineEvent {
    /// The one event of a definition's stream.
    DefinitionSaved(DefinitionSaved),
    /// An event of a pipeline's stream.
    PipelineSaved(PipelineSaved),
}

stored!(PipelineEvent, BYTES_MAX, { DefinitionSaved = 1, PipelineSaved = 2 });

/// The stream of a definition.
#[must_use]
pub fn definition_stream(hash: &Hash) -> StreamId {
    StreamId::engine(format!("{DEFINITION_PREFIX}{hash}"))
}

/// Whether a stream is that of a definition.
#[must_use]
pub fn is_definition_stream(stream: &StreamId) -> bool {
    stream.kind == StreamKind::Engine && stream.id.starts_with(DEFINITION_PREFIX)
}

/// Reads the event of a definition's stream.
///
/// # Errors
/// What was found instead.
pub fn saved_definition(event: &EventView<'_>) -> Result<DefinitionSaved, String> {
    match PipelineEvent::decode(event.kind, event.schema, event.payload) {
        Ok(PipelineEvent::DefinitionSaved(saved)) => Ok(saved),
        Ok(PipelineEvent::PipelineSaved(_)) => {
            Err(StoredError::Unknown(event.kind, event.schema).to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the event of a saved pipeline's stream.
///
/// # Errors
/// What was found instead.
pub fn saved_pipeline(event: &Envelope) -> Result<PipelineSaved, String> {
    let (kind, schema) = (event.header.kind, event.header.schema);
    match PipelineEvent::decode(kind, schema, &event.payload) {
        Ok(PipelineEvent::PipelineSaved(saved)) => Ok(saved),
        Ok(PipelineEvent::DefinitionSaved(_)) => Err(StoredError::Unknown(kind, schema).to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// A version of a name is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineSaved {
    /// The version, 1-based.
    pub n: u32,
    /// The pipeline's name.
    pub name: String,
    /// The definition; its own stream holds it.
    pub hash: Hash,
    /// The file's text as its author wrote it, for readers.
    pub text: Option<String>,
}

/// One version of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SavedVersion {
    /// The version, 1-based.
    pub n: u32,
    /// The definition.
    pub hash: Hash,
}

/// The versions of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedPipeline {
    versions: Vec<SavedVersion>,
}

impl SavedPipeline {
    /// The stream of a name.
    #[must_use]
    pub fn stream(name: &str) -> StreamId {
        StreamId::engine(format!("pipeline-{name}"))
    }

    /// Folds a fact.
    pub fn apply(&mut self, event: &PipelineSaved) {
        self.versions.push(SavedVersion { n: event.n, hash: event.hash });
    }

    /// What saving a definition adds; nothing where it is the newest version already.
    #[must_use]
    pub fn save(&self, name: &str, hash: Hash, text: Option<String>) -> Option<PipelineSaved> {
        if self.newest().is_some_and(|newest| newest.hash == hash) {
            return None;
        }
        let n = u32::try_from(self.versions.len()).unwrap_or(u32::MAX).saturating_add(1);
        Some(PipelineSaved { n, name: name.to_owned(), hash, text })
    }

    /// The newest version.
    #[must_use]
    pub fn newest(&self) -> Option<SavedVersion> {
        self.versions.last().copied()
    }

    /// All versions, oldest first.
    #[must_use]
    pub fn versions(&self) -> &[SavedVersion] {
        &self.versions
    }

    /// The version that a reference names; of several with the hash the newest.
    #[must_use]
    pub fn find(&self, which: &VersionSelector) -> Option<SavedVersion> {
        match which {
            VersionSelector::Newest => self.newest(),
            VersionSelector::Nth(n) => self.versions.iter().find(|version| version.n == *n).copied(),
            VersionSelector::Hash(start) => {
                let fits = |version: &&SavedVersion| version.hash.to_string().starts_with(start.as_str());
                self.versions.iter().rev().find(fits).copied()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everfold_base::json::JsonText;

    #[test]
    fn l1_a_name_a_number_and_the_start_of_a_hash_name_versions() {
        let mut saved = SavedPipeline::default();
        let (one, two) = (Hash::of(b"one"), Hash::of(b"two"));
        for hash in [one, two, two, one] {
            if let Some(event) = saved.save("deploy", hash, None) {
                saved.apply(&event);
            }
        }
        let find = |text: &str| {
            let reference: PipelineRef = text.parse().unwrap();
            saved.find(&reference.which).map(|version| (version.n, version.hash))
        };
        assert_eq!(saved.versions().len(), 3, "the same again is no new version");
        assert_eq!(find("deploy"), Some((3, one)));
        assert_eq!(find("deploy@2"), Some((2, two)));
        assert_eq!(find(&format!("deploy@{}", &two.to_string()[..8])), Some((2, two)));
        assert_eq!(find("deploy@9"), None);
    }

    #[test]
    fn the_stored_bytes_stay() {
        let text = |event: PipelineEvent| {
            let (kind, schema, bytes) = event.encode().unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind}/{schema}/{hex}")
        };
        let (hash, name) = (Hash([7; 32]), "deploy".to_owned());
        let document = JsonText::new(&serde_json::json!({"a": 1}));
        let definition = DefinitionSaved { hash, name: name.clone(), document };
        let pipeline = PipelineSaved { n: 2, name, hash, text: Some("x".into()) };
        let stored =
            [text(PipelineEvent::DefinitionSaved(definition)), text(PipelineEvent::PipelineSaved(pipeline))];
        assert_eq!(
            stored,
            [
                "1/1/070707070707070707070707070707070707070707070707070707070707070706000000000000006465706c6f7907000000000000007b2261223a317d",
                "2/1/0200000006000000000000006465706c6f79070707070707070707070707070707070707070707070707070707070707070701010000000000000078",
            ]
        );
    }
}
