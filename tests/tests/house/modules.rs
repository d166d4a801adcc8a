//! The files of a crate as modules, and which file takes a name from which.
//!
//! A path is resolved as the compiler does it, by the `use` trees and the paths in the code; re-exports are
//! followed to the file that defines the name. Test modules and the insides of macros are not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

use crate::definitions::{Definitions, lines_of};

/// A crate's source.
pub struct Source {
    /// Where it lies: `engine/core/src`.
    pub root: PathBuf,
    /// Each file by the path of its module.
    pub files: BTreeMap<Vec<String>, SourceFile>,
}

/// One file.
pub struct SourceFile {
    /// Its path below the repository.
    pub path: PathBuf,
    /// Its lines of code.
    pub lines: usize,
    /// What it defines.
    pub definitions: Definitions,
    taken: Vec<Taken>,
}

/// From file to file, with the names that are taken.
pub type Arrows = BTreeMap<PathBuf, BTreeMap<PathBuf, BTreeSet<String>>>;

impl Source {
    /// Reads all files of a crate.
    pub fn read(repository: &Path, root: &str) -> Self {
        let mut files = BTreeMap::new();
        let mut folders = vec![repository.join(root)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
                    let module = module_of(path.strip_prefix(repository.join(root)).unwrap());
                    let mut syntax = syn::parse_file(&std::fs::read_to_string(&path).unwrap())
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                    syntax.items.retain(|item| !is_test(item));
                    let path = path.strip_prefix(repository).unwrap().to_owned();
                    let mut reader = Reader { taken: Vec::new() };
                    reader.visit_file(&syntax);
                    let lines = syntax.items.iter().map(lines_of).sum();
                    let definitions = Definitions::of(&syntax);
                    files.insert(module, SourceFile { path, lines, definitions, taken: reader.taken });
                }
            }
        }
        Self { root: root.into(), files }
    }

    /// The imports between the files.
    pub fn arrows(&self) -> Arrows {
        let mut reexports: BTreeMap<(PathBuf, String), PathBuf> = BTreeMap::new();
        for (module, file) in &self.files {
            for one in file.taken.iter().filter(|one| one.is_reexport) {
                if let Some((target, _)) = self.resolve(module, &one.path) {
                    let own = &file.path;
                    if let Some(name) = one.path.last().filter(|_| target != own) {
                        reexports.insert((own.clone(), name.clone()), target.clone());
                    }
                }
            }
        }
        let mut arrows = Arrows::new();
        for (module, file) in &self.files {
            let own = &file.path;
            for one in file.taken.iter().filter(|one| !one.is_reexport) {
                let Some((mut target, rest)) = self.resolve(module, &one.path) else { continue };
                let name = rest.first().cloned().unwrap_or_else(|| "self".to_owned());
                // No chain of re-exports is longer than there are files.
                for _ in 0..self.files.len() {
                    match reexports.get(&(target.clone(), name.clone())) {
                        Some(next) => target = next,
                        None => break,
                    }
                }
                if target != own {
                    arrows.entry(own.clone()).or_default().entry(target.clone()).or_default().insert(name);
                }
            }
        }
        arrows
    }

    /// The file that a path leads to, and what of the path is left.
    fn resolve(&self, from: &[String], path: &[String]) -> Option<(&PathBuf, Vec<String>)> {
        let (mut module, mut at) = match path.first()?.as_str() {
            "crate" => (Vec::new(), 1),
            "self" => (from.to_vec(), 1),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                (from[..from.len().checked_sub(up)?].to_vec(), up)
            }
            child => {
                let mut module = from.to_vec();
                module.push(child.to_owned());
                self.files.contains_key(&module).then_some((module, 1))?
            }
        };
        while let Some(part) = path.get(at) {
            module.push(part.clone());
            if !self.files.contains_key(&module) {
                module.pop();
                break;
            }
            at += 1;
        }
        Some((&self.files.get(&module)?.path, path[at..].to_vec()))
    }
}

fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod")
        || matches!(parts.as_slice(), [only] if only == "lib" || only == "main")
    {
        parts.pop();
    }
    parts
}

/// Whether it is compiled for tests alone.
fn is_test(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(it) => &it.attrs,
        syn::Item::Fn(it) => &it.attrs,
        syn::Item::Use(it) => &it.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

/// A path that a file names.
struct Taken {
    path: Vec<String>,
    is_reexport: bool,
}

struct Reader {
    taken: Vec<Taken>,
}

impl Reader {
    fn tree(&mut self, before: &[String], tree: &syn::UseTree, is_reexport: bool) {
        let mut path = before.to_vec();
        match tree {
            syn::UseTree::Path(it) => {
                path.push(it.ident.to_string());
                self.tree(&path, &it.tree, is_reexport);
            }
            syn::UseTree::Group(it) => it.items.iter().for_each(|item| self.tree(&path, item, is_reexport)),
            syn::UseTree::Name(it) if it.ident == "self" => {
                self.taken.push(Taken { path, is_reexport: false })
            }
            syn::UseTree::Name(syn::UseName { ident })
            | syn::UseTree::Rename(syn::UseRename { ident, .. }) => {
                path.push(ident.to_string());
                self.taken.push(Taken { path, is_reexport });
            }
            syn::UseTree::Glob(_) => self.taken.push(Taken { path, is_reexport: false }),
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&[], &item.tree, !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let path: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.taken.push(Taken { path, is_reexport: false });
        }
        syn::visit::visit_path(self, path);
    }
}

/// The circles: sets of files that reach each other. By Tarjan's algorithm.
pub fn circles(arrows: &Arrows) -> Vec<BTreeSet<PathBuf>> {
    let mut search =
        Tarjan { arrows, order: BTreeMap::new(), low: BTreeMap::new(), open: Vec::new(), found: Vec::new() };
    for file in arrows.keys() {
        if !search.order.contains_key(file) {
            search.visit(file);
        }
    }
    search.found
}

struct Tarjan<'a> {
    arrows: &'a Arrows,
    order: BTreeMap<&'a PathBuf, usize>,
    low: BTreeMap<&'a PathBuf, usize>,
    open: Vec<&'a PathBuf>,
    found: Vec<BTreeSet<PathBuf>>,
}

impl<'a> Tarjan<'a> {
    fn visit(&mut self, file: &'a PathBuf) {
        let number = self.order.len();
        self.order.insert(file, number);
        self.low.insert(file, number);
        self.open.push(file);
        for target in self.arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if !self.order.contains_key(target) {
                self.visit(target);
                self.low.insert(file, self.low[file].min(self.low[target]));
            } else if self.open.contains(&target) {
                self.low.insert(file, self.low[file].min(self.order[target]));
            }
        }
        if self.low[file] == self.order[file] {
            let at = self.open.iter().position(|one| *one == file).unwrap();
            let circle: BTreeSet<PathBuf> = self.open.drain(at..).cloned().collect();
            if circle.len() > 1 {
                self.found.push(circle);
            }
        }
    }
}
