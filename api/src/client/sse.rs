//! Server-sent events, as they come in.

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    pub(crate) data: String,
}

/// What came in and is not taken yet.
#[derive(Debug, Default)]
pub(crate) struct Events {
    text: Vec<u8>,
    /// Bytes before this place are taken.
    taken: usize,
    /// No event ends before this place.
    looked: usize,
}

impl Events {
    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.text.drain(..self.taken);
        self.looked = self.looked.saturating_sub(self.taken);
        self.taken = 0;
        self.text.extend_from_slice(bytes);
    }

    /// Forgets half an event, which another connection will bring whole.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next whole event that has data; signs of life have none.
    pub(crate) fn take(&mut self) -> Option<Event> {
        loop {
            let from = self.taken.max(self.looked.saturating_sub(1));
            let Some(end) = self.text[from..].windows(2).position(|pair| pair == b"\n\n") else {
                self.looked = self.text.len();
                return None;
            };
            let block = String::from_utf8_lossy(&self.text[self.taken..from + end]).into_owned();
            self.taken = from + end + 2;
            let field = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
            };
            if let (Some(name), Some(data)) = (field("event"), field("data")) {
                return Some(Event { id: field("id"), name, data });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_whole_however_they_are_cut() {
        let text =
            ": idle\n\nid: e-1\nevent: line\ndata: \"a\"\n\n: idle\n\nevent: end\ndata: {}\n\nid: e-2\nevent";
        for size in 1..text.len() {
            let (mut events, mut taken) = (Events::default(), Vec::new());
            for bytes in text.as_bytes().chunks(size) {
                events.push(bytes);
                taken.extend(std::iter::from_fn(|| events.take()));
            }
            let event = |id: Option<&str>, name: &str, data: &str| Event {
                id: id.map(str::to_owned),
                name: name.to_owned(),
                data: data.to_owned(),
            };
            assert_eq!(taken, [event(Some("e-1"), "line", "\"a\""), event(None, "end", "{}")], "{size}");
        }
    }
}
