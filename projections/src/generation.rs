//! Generations: a model that is rebuilt gets keys of its own, under the next number.
//!
//! Law: a model has the keys of the generation that is saved for it. A number is never given a second time while any key
//! of it is left.

use serde::{Deserialize, Serialize};

use crate::storage::{Storage, StorageError};

/// Which keys are a model's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Generation {
    pub(crate) number: u32,
    pub(crate) schema: u32,
}

/// Where a model's generation stands.
fn generation_key(name: &str) -> Vec<u8> {
    [&[0, 0, 0, 0, b'm'][..], name.as_bytes()].concat()
}

pub(crate) fn generation_of(storage: &Storage, name: &str) -> Result<Option<Generation>, StorageError> {
    let bytes = storage.get(&generation_key(name))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// A number that no generation has, and none that is being removed.
pub(crate) fn next_generation(storage: &Storage) -> Result<u32, StorageError> {
    let last = storage.scan(&[0, 0, 0, 1], &[0xff; 8], true, 1)?.pop();
    let used = last.and_then(|(key, _)| key.get(..4)?.try_into().ok()).map_or(0, u32::from_be_bytes);
    let named = storage.scan(&[0, 0, 0, 0], &[0, 0, 0, 1], false, usize::MAX)?;
    let named = named.iter().filter_map(|(_, value)| serde_json::from_slice::<Generation>(value).ok());
    Ok(named.map(|generation| generation.number).fold(used, u32::max) + 1)
}

pub(crate) fn save_generation(
    storage: &Storage,
    name: &str,
    generation: Generation,
) -> Result<(), StorageError> {
    let bytes = serde_json::to_vec(&generation).map_err(|error| StorageError::new(error.to_string()))?;
    storage.write(vec![(generation_key(name), Some(bytes))])
}

/// The generations that have keys and that no model has.
pub(crate) fn former_generations(storage: &Storage, kept: &[u32]) -> Result<Vec<u32>, StorageError> {
    let (mut from, mut former) = (vec![0, 0, 0, 1], Vec::new());
    while let Some((key, _)) = storage.scan(&from, &[0xff; 8], false, 1)?.pop() {
        let Some(number) = key.get(..4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
        else {
            break;
        };
        if !kept.contains(&number) {
            former.push(number);
        }
        from = number.saturating_add(1).to_be_bytes().to_vec();
    }
    Ok(former)
}

/// Removes the keys of a generation. Gives how many there were.
pub(crate) fn remove_generation(storage: &Storage, number: u32) -> Result<usize, StorageError> {
    const CHUNK: usize = 500;
    let (from, to) = (number.to_be_bytes(), number.saturating_add(1).to_be_bytes());
    let mut removed = 0;
    loop {
        let keys = storage.scan(&from, &to, false, CHUNK)?;
        if keys.is_empty() {
            return Ok(removed);
        }
        removed += keys.len();
        storage.write(keys.into_iter().map(|(key, _)| (key, None)).collect())?;
    }
}
