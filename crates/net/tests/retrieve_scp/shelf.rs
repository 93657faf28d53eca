//! Instances in memory.

use std::collections::VecDeque;
use std::io;

use dicomet_net::association::Source;
use dicomet_net::service::sub_operations::{Instance, Instances, Outgoing};
use dicomet_proto::Uid;
use dicomet_proto::dataset::dictionary::uids;

pub(crate) struct Shelved {
    pub(crate) instance: Instance,
    pub(crate) content: Content,
}

/// What an instance is like to read.
#[derive(Clone)]
pub(crate) enum Content {
    Sound(Vec<u8>),
    Unreadable,
    /// So many bytes can be read of so many.
    Damaged(usize, usize),
    /// It is never opened.
    Stuck,
}

#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) instances: VecDeque<Shelved>,
}

/// CT image `1.2.<number>`, of 1000 bytes.
pub(crate) fn ct(number: usize) -> Shelved {
    let instance = Instance {
        sop_class: uids::CT_IMAGE_STORAGE,
        sop_instance: Uid::new(format!("1.2.{number}")).unwrap(),
        transfer_syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN,
    };
    Shelved { instance, content: Content::Sound(vec![number as u8; 1000]) }
}

pub(crate) fn cts(count: usize) -> Shelf {
    Shelf { instances: (1..=count).map(ct).collect() }
}

impl Instances for Shelf {
    type Instance = Shelved;

    fn total(&self) -> u64 {
        self.instances.len() as u64
    }

    fn next(&mut self) -> Option<Shelved> {
        self.instances.pop_front()
    }
}

impl Outgoing for Shelved {
    type Source = Memory;

    fn describe(&self) -> Instance {
        self.instance.clone()
    }

    async fn open(&self, _: &Uid) -> io::Result<Memory> {
        match &self.content {
            Content::Sound(data) => Ok(Memory { data: data.clone(), length: data.len(), sent: 0 }),
            Content::Unreadable => Err(io::ErrorKind::UnexpectedEof.into()),
            Content::Damaged(sound, length) => Ok(Memory { data: vec![0; *sound], length: *length, sent: 0 }),
            Content::Stuck => std::future::pending().await,
        }
    }
}

pub(crate) struct Memory {
    data: Vec<u8>,
    length: usize,
    sent: usize,
}

impl Source for Memory {
    fn remaining(&self) -> u64 {
        (self.length - self.sent) as u64
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.data.len() - self.sent);
        buffer[..length].copy_from_slice(&self.data[self.sent..self.sent + length]);
        self.sent += length;
        Ok(length)
    }
}
