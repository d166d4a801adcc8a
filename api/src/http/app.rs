//! What every handler works on, and the bound of what it reads.

use std::sync::Arc;

use crate::node::Node;

/// The largest request body in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What every handler works on.
pub(crate) type App = Arc<Node>;
