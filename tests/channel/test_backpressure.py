import asyncio

from securecc.channel.backpressure import Backpressure


def test_who_waits_goes_on_when_there_is_room() -> None:
    async def body() -> None:
        room = Backpressure(asyncio.get_running_loop())
        acted = []
        assert (room.paused, room.paused_for) == (False, 0.0)
        room.pause()
        waiting, given_up = room.wait(), room.wait()
        room.when_resumed(lambda: acted.append(1))
        given_up.cancel()
        await asyncio.sleep(0.01)
        assert room.paused
        assert room.paused_for > 0
        assert not acted
        room.resume()
        await waiting
        await asyncio.sleep(0)
        assert acted == [1]
        assert (room.paused, room.paused_for) == (False, 0.0)
        room.resume()
        assert acted == [1]

    asyncio.run(body())
