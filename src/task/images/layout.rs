//! Which folders are splits and which are classes. Where that can be read in two ways it is refused, with what to type for
//! each: a split taken for a class, or lost, makes results that look fine.

use std::path::{Path, PathBuf};

use super::ImageFolder;
use super::folders::{files, name, subfolders};
use super::list::label_in;
use super::listing::{few, reason};
use crate::error::{Error, Result};
use crate::task::imported::MOST_CLASSES;
use crate::task::imported::audit::PARTS;

/// Words for each part.
const TRAIN: [&str; 2] = ["train", "training"];
const VALIDATION: [&str; 4] = ["val", "valid", "validation", "dev"];
const TEST: [&str; 2] = ["test", "testing"];

/// The folder of each part that there is.
pub fn parts(given: &ImageFolder) -> Result<Vec<(usize, PathBuf)>> {
    let root = given.folder();
    if let Some(train) = &given.train {
        let parts = given.parts.clone().unwrap_or_default();
        let named = [Some(train), parts[0].as_ref(), parts[1].as_ref()];
        let named = named.into_iter().enumerate().filter_map(|(part, folder)| Some((part, folder?)));
        return named.map(|(part, folder)| Ok((part, named_folder(root, PARTS[part], folder)?))).collect();
    }
    if given.labels.is_none() {
        of_birds(root)?;
    }
    let folders = subfolders(root)?;
    let is = |part: usize| folders.iter().filter(move |(folder, _)| whole_name(folder) == Some(part));
    if is(0).any(|(_, path)| given.labels.is_some() || holds_classes(path)) {
        if (0..3).any(|part| is(part).count() > 1) || (0..3).map(|part| is(part).count()).sum::<usize>() < folders.len()
        {
            let names: Vec<String> = folders.iter().map(|(name, _)| name.clone()).collect();
            return Err(Error::bad_input(format!(
                "{} has a folder train with classes in it, so beside it only val and test are read, and it has {}",
                root.display(),
                few(&names)
            ))
            .hint(format!("{}; if train is a class: train = \".\"", typed(&folders))));
        }
        return Ok((0..3).flat_map(|part| is(part).map(move |(_, path)| (part, path.clone()))).collect());
    }
    if given.labels.is_none() {
        splits_in_disguise(root, &folders)?;
    }
    Ok(vec![(0, root.to_owned())])
}

/// The parts, where a list says only the labels of those that have no folders of classes; none where it says the splits too.
pub fn with_a_list(given: &ImageFolder) -> Result<Option<Vec<(usize, PathBuf)>>> {
    let trained =
        || subfolders(given.folder()).map(|all| all.into_iter().find(|(name, _)| whole_name(name) == Some(0)));
    if given.train.is_none() && !trained()?.is_some_and(|(_, train)| holds_classes(&train)) {
        return Ok(None);
    }
    let parts = parts(given)?;
    match (parts.iter().any(|(_, folder)| is_flat(folder)), &given.labels) {
        (true, _) => Ok(Some(parts)),
        (false, Some(list)) if given.train.is_some() => Err(Error::bad_input(format!(
            "labels = \"{list}\" says the labels of images without a folder of their class, and there are none"
        ))
        .hint("leave labels out, or train")),
        (false, _) => Ok(None),
    }
}

/// Whether nothing but a list can say the classes of its images.
pub fn is_flat(folder: &Path) -> bool {
    !holds_classes(folder)
}

fn named_folder(root: &Path, key: &str, folder: &str) -> Result<PathBuf> {
    let path = if folder == "." { root.to_owned() } else { root.join(folder) };
    if path.is_dir() {
        return Ok(path);
    }
    let there: Vec<String> = subfolders(root)?.into_iter().map(|(name, _)| name).collect();
    Err(Error::bad_input(format!("{key} = \"{folder}\": {} is no folder", path.display())).hint(format!(
        "{} has {}",
        root.display(),
        few(&there)
    )))
}

/// The part that a folder is called.
fn whole_name(folder: &str) -> Option<usize> {
    let folder = folder.to_lowercase();
    let words = [TRAIN.as_slice(), &VALIDATION, &TEST];
    words.iter().position(|words| words.contains(&folder.as_str()))
}

/// The part that a word of a folder's name, as in seg_train or test1, is of.
fn word_of(folder: &str) -> Option<usize> {
    let folder = folder.to_lowercase();
    let mut words = folder.split(|c: char| !c.is_alphabetic());
    words.find_map(whole_name)
}

fn holds_classes(folder: &Path) -> bool {
    subfolders(folder).is_ok_and(|folders| !folders.is_empty())
}

/// Folders that are called like splits and would be taken for classes.
fn splits_in_disguise(root: &Path, folders: &[(String, PathBuf)]) -> Result<()> {
    let of = |part: usize| folders.iter().filter(move |(folder, _)| word_of(folder) == Some(part)).collect::<Vec<_>>();
    let (train, others) = (of(0), [of(1), of(2)].concat());
    // test_tube and train_station are classes; img_train and img_test have all in common but the split.
    let rest = |folder: &str| {
        let words = folder.to_lowercase();
        let words =
            words.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty() && whole_name(word).is_none());
        words.map(String::from).collect::<Vec<_>>()
    };
    let all = folders.iter().all(|(folder, _)| word_of(folder).is_some() && rest(folder) == rest(&folders[0].0));
    let all = all && !folders.is_empty();
    let splits = train.iter().chain(&others).filter(|(_, path)| holds_classes(path)).count();
    let meant = !train.is_empty() && !others.is_empty() && splits > 0;
    if !(all || meant) {
        return Ok(());
    }
    if let Some((_, path)) = train.first().filter(|(_, path)| !holds_classes(path)) {
        return Err(flat(path, 0));
    }
    let names: Vec<&str> = train.iter().chain(&others).map(|(folder, _)| folder.as_str()).collect();
    Err(Error::bad_input(format!(
        "{} has {}, which read like splits and would be classes",
        root.display(),
        names.join(" and ")
    ))
    .hint(format!("{}; if they are classes: train = \".\"", typed(folders))))
}

/// What to type so that folders are splits.
fn typed(folders: &[(String, PathBuf)]) -> String {
    let key = |part: usize| {
        let (folder, path) = folders.iter().find(|(folder, _)| word_of(folder) == Some(part))?;
        // The folder of the classes may stand alone in one of the same name.
        let inner = match subfolders(path).unwrap_or_default().as_slice() {
            [(only, inner)] if holds_classes(inner) => format!("{folder}/{only}"),
            _ => folder.clone(),
        };
        Some(format!("{} = \"{inner}\"", PARTS[part]))
    };
    let keys: Vec<String> = (0..3).filter_map(key).collect();
    format!("name the splits: {}", keys.join(", "))
}

/// The folders of a part's classes. A part without them is refused, whatever part it is.
pub fn classes(folder: &Path, part: usize) -> Result<Vec<(String, PathBuf)>> {
    let classes = subfolders(folder)?;
    if classes.is_empty() {
        return Err(flat(folder, part));
    }
    if part > 0 || (2..=MOST_CLASSES).contains(&classes.len()) {
        return Ok(classes);
    }
    let (count, shown) = (classes.len(), folder.display());
    let error =
        Error::bad_input(format!("{shown} has {count} folders, and needs one for each of 2 to {MOST_CLASSES} classes"));
    Err(match classes.as_slice() {
        [(only, inner)] if holds_classes(inner) => error.hint(format!("did you mean {}?", folder.join(only).display())),
        _ => error,
    })
}

/// A folder of images without classes: what may be meant.
fn flat(folder: &Path, part: usize) -> Error {
    let images: Vec<PathBuf> =
        files(folder).unwrap_or_default().into_iter().filter(|path| reason(path).is_none()).collect();
    let (count, shown) = (images.len(), folder.display());
    if count == 0 {
        return Error::bad_input(format!("{shown} has neither a folder of a class nor an image"));
    }
    let error =
        Error::bad_input(format!("{shown} has {count} images and no folder of a class, so nothing says their labels"));
    let mut labels: Vec<String> = images.iter().filter_map(|path| label_in(path)).collect();
    let all = labels.len() == count;
    labels.sort();
    labels.dedup();
    if all && (2..=count / 2).contains(&labels.len()) {
        return error.hint(format!(
            "images:{shown} with labels = \"names\" takes them from the names of the files: {}",
            few(&labels)
        ));
    }
    let beside = [folder.parent(), Some(folder)].into_iter().flatten().filter_map(|at| files(at).ok()).flatten();
    let list = beside.into_iter().find(|path| matches!(super::folders::extension(path).as_str(), "csv" | "tsv"));
    let list = list.map_or("LIST.csv".into(), |path| path.display().to_string());
    let from_a_list = format!("labels = \"{list}\" reads them from a list of file, label and split");
    match part {
        0 => error.hint(from_a_list),
        _ => error.hint(format!(
            "labels = \"{list}\" says them, by file or in the order of the names; or sort them into folders as those of \
             train; or leave them out with train = \"{}\" alone",
            folder.parent().and_then(train_of).unwrap_or_else(|| "train".into())
        )),
    }
}

fn train_of(root: &Path) -> Option<String> {
    let folders = subfolders(root).ok()?;
    folders.into_iter().map(|(folder, _)| folder).find(|folder| word_of(folder) == Some(0))
}

/// CUB-200 as unpacked keeps splits in lists of its own.
fn of_birds(root: &Path) -> Result<()> {
    let at = |folder: &Path| folder.join("images.txt").is_file() && folder.join("train_test_split.txt").is_file();
    let inner = name(root) == "images" && root.parent().is_some_and(at);
    if !at(root) && !inner {
        return Ok(());
    }
    let lists = if inner { root.parent().unwrap_or(root) } else { root }.display().to_string();
    Err(Error::bad_input(format!("{lists} says its splits in images.txt and train_test_split.txt, as CUB-200 does")).hint(
        format!(
            "make a list of them:\n  paste -d ' ' {lists}/images.txt {lists}/train_test_split.txt | awk 'BEGIN {{ print \"file,label,split\" }} \
             {{ split($2, part, \"/\"); print $2 \",\" part[1] \",\" ($4 ? \"train\" : \"test\") }}' > labels.csv\n\
             then: images:{lists}/images with labels = \"labels.csv\"; or train = \".\" to hold out a test split of your own"
        ),
    ))
}
