//! Workers that are threads of one process, and reach one another through channels.

use std::sync::mpsc::{Receiver, Sender, channel};

use retune_train::{TrainError, training::workers::Workers};

/// One of the workers. When it is gone, those that wait for it hear so.
pub struct Peer {
    rank: usize,
    to: Vec<Sender<Vec<u8>>>,
    from: Vec<Receiver<Vec<u8>>>,
}

/// `size` workers that know one another.
pub fn peers(size: usize) -> Vec<Peer> {
    let mut peers: Vec<Peer> = (0..size).map(|rank| Peer { rank, to: Vec::new(), from: Vec::new() }).collect();
    for from in 0..size {
        for to in 0..size {
            let (sender, receiver) = channel();
            peers[from].to.push(sender);
            peers[to].from.push(receiver);
        }
    }
    peers
}

impl Workers for Peer {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.to.len()
    }

    fn gather(&self, message: Vec<u8>) -> Result<Vec<Vec<u8>>, TrainError> {
        let left = || TrainError::Workers { problem: "a worker has left".into() };
        self.to.iter().try_for_each(|to| to.send(message.clone())).map_err(|_| left())?;
        self.from.iter().map(|from| from.recv().map_err(|_| left())).collect()
    }

    fn sum(&self, values: &mut [f32]) -> Result<(), TrainError> {
        let messages = self.gather(values.iter().flat_map(|value| value.to_le_bytes()).collect())?;
        values.fill(0.0);
        for message in messages {
            let numbers = message.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
            values.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        }
        Ok(())
    }
}
