//! What a file defines: types, functions and their lengths, the words of its identifiers.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::Visit;

/// From its first line to its last.
pub fn lines_of(item: &impl syn::spanned::Spanned) -> usize {
    let span = item.span();
    span.end().line - span.start().line + 1
}

/// What a file defines.
#[derive(Default)]
pub struct Definitions {
    /// Names of its types.
    pub types: BTreeSet<String>,
    /// Its functions with their lines.
    pub functions: Vec<(String, usize)>,
    /// Structs of too many fields or `bool`s.
    pub heavy: Vec<String>,
    /// How often a word stands in identifiers.
    pub identifiers: BTreeMap<String, usize>,
}

impl Definitions {
    /// Reads a file.
    pub fn of(file: &syn::File) -> Self {
        let mut found = Self::default();
        found.visit_file(file);
        found
    }

    fn function(&mut self, name: &syn::Ident, block: &syn::Block) {
        self.functions.push((name.to_string(), lines_of(block)));
    }
}

impl<'ast> Visit<'ast> for Definitions {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        const FIELDS_MAX: usize = 25;
        const BOOLS_MAX: usize = 3;
        self.types.insert(item.ident.to_string());
        let bools = item
            .fields
            .iter()
            .filter(|field| matches!(&field.ty, syn::Type::Path(it) if it.path.is_ident("bool")))
            .count();
        // What is shown or read whole is as wide as its page, its file or its command.
        let is_view = item.attrs.iter().any(|it| {
            let text = it.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default();
            it.path().is_ident("derive")
                && ["Serialize", "Deserialize", "Args", "Parser", "ToSchema"]
                    .iter()
                    .any(|name| text.contains(name))
        });
        if !is_view && (item.fields.len() > FIELDS_MAX || bools > BOOLS_MAX) {
            self.heavy.push(item.ident.to_string());
        }
        syn::visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.types.insert(item.ident.to_string());
        syn::visit::visit_item_enum(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig.ident, &item.block);
        syn::visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig.ident, &item.block);
        syn::visit::visit_impl_item_fn(self, item);
    }

    fn visit_ident(&mut self, ident: &'ast proc_macro2::Ident) {
        let spelled = ident.to_string();
        for word in words(&spelled) {
            *self.identifiers.entry(word).or_default() += 1;
        }
    }
}

/// The words of an identifier: `SlotDesk` and `slot_desk` are `slot` and `desk`.
fn words(identifier: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in identifier.chars() {
        if letter == '_' || letter.is_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
