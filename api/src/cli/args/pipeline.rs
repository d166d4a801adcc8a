//! Pipelines.

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct PipelineArgs {
    #[command(subcommand)]
    pub(crate) verb: PipelineVerb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PipelineVerb {
    /// Find every error of a file
    Check {
        /// A file, or a name
        pipeline: String,
    },
    /// Save a file as the newest version of its name
    Save {
        /// The file
        file: String,
    },
    /// List the saved and the built-in pipelines
    List,
    /// Steps and input of a pipeline
    Show {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        pipeline: String,
        /// Print its text as it was saved
        #[arg(long)]
        text: bool,
    },
    /// What is different in another pipeline or version
    Diff {
        /// A file, or a name: NAME, NAME@N, NAME@HASH
        from: String,
        /// The other one [default: of a file the saved version, of a name the version before]
        to: Option<String>,
        /// End with 1 where they differ, with 0 where they do not
        #[arg(long)]
        exit_code: bool,
    },
    /// Print the JSON Schema of pipeline files, for editors
    Schema,
    /// Draw the graph
    Graph {
        /// A file, or a name
        pipeline: String,
        /// As a picture in SVG
        #[arg(long)]
        svg: bool,
    },
}
