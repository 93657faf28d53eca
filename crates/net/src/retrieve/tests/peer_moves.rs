//! The peer of these tests by C-MOVE: it sends to a port of this machine, on one association a request.

use dicomet_proto::association::negotiation::{Context, Proposal};
use dicomet_proto::dataset::DataSet;
use dicomet_proto::dataset::dictionary::uids;
use dicomet_proto::message::{CMoveRq, CMoveRsp, Command, Counters, DataSetType};

use super::super::*;
use super::peer::{Held, Peer, fits};
use crate::association::{Data, Received};
use crate::{Association, connect};

impl Peer {
    /// Answers whether the association is to go on. No Pending responses, and no counters in the final one.
    pub(super) async fn send_by_move(
        &self,
        association: &mut Association,
        context: &Context,
        rq: &CMoveRq,
        keys: &DataSet,
    ) -> bool {
        let wanted: Vec<Held> = self.held.iter().filter(|held| fits(held, keys)).cloned().collect();
        let port = self.habits.moves_to.unwrap();
        let destination: Node = format!("{}@127.0.0.1:{port}", rq.move_destination).parse().unwrap();
        let mut classes: Vec<Uid> = wanted.iter().map(|held| held.class.clone()).collect();
        classes.sort();
        classes.dedup();
        let syntaxes = vec![uids::EXPLICIT_VR_LITTLE_ENDIAN];
        let proposal = Proposal::new(
            "PEER".parse().unwrap(),
            destination.ae_title.clone(),
            classes.into_iter().map(|class| (class, syntaxes.clone())).collect(),
        );
        let mut sub = connect::connect(&destination, proposal, &Timeouts::default()).await.unwrap();
        let mut status = Status::SUCCESS;
        for (count, held) in wanted.iter().enumerate() {
            if self.habits.closes_after == Some(count)
                && self.habits.closings_left.load(std::sync::atomic::Ordering::Relaxed) > 0
            {
                self.habits.closings_left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                return false;
            }
            if self.habits.hangs_at.as_ref() == Some(&held.instance) {
                match self.habits.hangs_before_it_begins {
                    true => std::future::pending::<()>().await,
                    false => _ = sub.send(context_id(&sub, held), &held.store_rq(), Data::None).await,
                }
                let _ = sub.flush().await;
                // Our side gives up, and this one fails: it says no more.
                let _ = sub.receive().await;
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(self.habits.takes_its_time).await;
            if !self.send_one(&mut sub, held).await {
                status = Status::WARNING;
            }
        }
        let _ = sub.release().await;
        let response = Command::CMoveRsp(CMoveRsp {
            message_id: rq.message_id,
            affected_sop_class_uid: None,
            status,
            counters: Counters::default(),
            identifier: DataSetType::Null,
            error_comment: None,
            offending_elements: Vec::new(),
        });
        let _ = association.send(context.id, &response, Data::None).await;
        association.flush().await.is_ok()
    }

    async fn send_one(&self, sub: &mut Association, held: &Held) -> bool {
        if self.habits.cannot_send.as_ref() == Some(&held.instance) {
            return false;
        }
        let data = held.data_set(&uids::EXPLICIT_VR_LITTLE_ENDIAN);
        if sub.send(context_id(sub, held), &held.store_rq(), Data::Bytes(&data)).await.is_err() {
            return false;
        }
        self.sent.lock().unwrap().push(held.instance.clone());
        match sub.receive().await {
            Ok(Received::Message(message)) => match message.command {
                Command::CStoreRsp(response) => response.status == Status::SUCCESS,
                other => panic!("{other:?}"),
            },
            _ => false,
        }
    }
}

fn context_id(sub: &Association, held: &Held) -> dicomet_proto::association::ContextId {
    sub.context_of(&held.class).unwrap().id
}
