"""The key pair of a cluster: made once, told in halves, and what was sealed to another is not opened."""

import asyncio
import base64

import pytest

from services.executor.backups.choices import Refused
from services.executor.kube import SECRETS, ForbiddenError, InvalidError, NotFoundError
from services.executor.locations.sealing import HOLDER, NOT_ALLOWED, UNUSABLE, Sealing
from tests.support.location_messages import sealed
from tests.support.memory_kube import MemoryKube


def sealing(kube):
    return Sealing("eu1", "velero", kube)


def private(kube):
    return base64.b64decode(kube.find(SECRETS, HOLDER)["data"]["private"])


async def test_any_number_of_executors_have_one_key_and_open_what_is_sealed_to_it():
    kube = MemoryKube()
    keys = await asyncio.gather(*(sealing(kube).public() for _ in range(4)))
    assert len({key.id for key in keys}) == 1
    assert len(kube.writes) == 1
    assert await sealing(kube).open(sealed(keys[0], "text ä\n")) == "text ä\n".encode()


async def test_one_that_loses_the_race_takes_the_key_of_the_winner():
    kube = MemoryKube()

    class Late(MemoryKube):
        async def get(self, kind, name):
            if not self.writes:
                self.writes.append(("get", kind.plural, name))
                raise NotFoundError("not yet")
            return await kube.get(kind, name)

        async def create(self, kind, body):
            return await kube.create(kind, body)

    first = await sealing(kube).public()
    assert await sealing(Late()).public() == first


async def test_what_was_sealed_to_a_key_that_is_gone_cannot_be_opened():
    kube = MemoryKube()
    box = sealed(await sealing(kube).public(), "text")
    del kube.objects[SECRETS.plural, HOLDER]
    with pytest.raises(Refused) as refused:
        await sealing(kube).open(box)
    assert refused.value.refusal.code == "CredentialUnreadable"
    fresh = await sealing(kube).public()
    assert fresh.id != box.key
    assert await sealing(kube).open(sealed(fresh, "text")) == b"text"


@pytest.mark.parametrize("box", [b"", b"x" * 40, b"x" * 200])
async def test_what_is_no_box_is_refused(box):
    kube = MemoryKube()
    good = sealed(await sealing(kube).public(), "text")
    with pytest.raises(Refused):
        await sealing(kube).open(good.model_copy(update={"box": box}))


@pytest.mark.parametrize("data", [None, {}, {"private": "?"}, {"private": "AAAA"}, {"private": 7}])
async def test_a_secret_without_a_key_is_told_with_the_cure(data):
    kube = MemoryKube()
    kube.put(SECRETS, HOLDER)["data"] = data
    kube.objects[SECRETS.plural, HOLDER]["data"] = data
    keeper = sealing(kube)
    assert await keeper.public() is None
    assert keeper.problem == UNUSABLE
    del kube.objects[SECRETS.plural, HOLDER]
    assert await keeper.public() is not None
    assert keeper.problem is None


async def test_missing_rights_are_told_with_the_cure_and_no_private_half_is_ever_told():
    kube = MemoryKube()
    kube.refuses["create", SECRETS.plural] = ForbiddenError("no")
    keeper = sealing(kube)
    assert (await keeper.public(), keeper.problem) == (None, NOT_ALLOWED)
    kube.refuses["create", SECRETS.plural] = InvalidError("a webhook that repeats: private: c2VjcmV0")
    assert await keeper.public() is None
    assert "c2VjcmV0" not in keeper.problem.message
    kube.refuses["create", SECRETS.plural] = NotFoundError("there is no namespace velero")
    assert (await keeper.public(), keeper.problem) == (None, None)
    kube.refuses.clear()
    public = await keeper.public()
    assert public.key not in private(kube)
    assert private(kube).hex() not in repr(keeper)
