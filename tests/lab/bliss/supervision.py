"""What BLISS asks the writer device: each question with its answer, as its own proxies see them."""

import json
import os
import time

from bliss.scanning.writer import external_tango

try:
    from bliss.scanning.writer import external_tango_mapping as mapping
except ImportError:  # before BLISS 2.3
    mapping = external_tango

_NOT_SENT = {"set_timeout_millis"}


class Questions:
    """Notes the questions from `install` on."""

    def __init__(self):
        self.asked = []
        self.on_answer = lambda question: None

    def install(self):
        """Put ourselves between BLISS and its proxies of the device."""
        real = external_tango.DeviceProxy
        questions = self

        class Listening:
            def __init__(self, uri):
                self._proxy = real(uri)

            def __getattr__(self, name):
                member = getattr(self._proxy, name)
                if name in _NOT_SENT or not callable(member):
                    return member
                return lambda *arguments: questions._ask(name, member, arguments)

        external_tango.DeviceProxy = mapping.DeviceProxy = Listening

    def _ask(self, name, member, arguments):
        question = {"call": name, "arguments": len(arguments)}
        start = time.perf_counter()
        try:
            answer = member(*arguments)
        except BaseException as error:
            question["error"] = repr(error)
            raise
        else:
            question["type"] = type(answer).__name__
            question["answer"] = str(answer) if question["type"] == "DevState" else answer
            return answer
        finally:
            question["ms"] = round((time.perf_counter() - start) * 1000, 3)
            self.asked.append(question)
            self.on_answer(question)

    def save(self, out, kind):
        """Write the questions since the last call to OUT/questions/KIND.json."""
        os.makedirs(os.path.join(out, "questions"), exist_ok=True)
        with open(os.path.join(out, "questions", f"{kind}.json"), "w") as file:
            json.dump(self.asked, file, indent=1, default=repr)
        self.asked.clear()
