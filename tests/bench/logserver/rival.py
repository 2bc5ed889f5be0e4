# SPDX-License-Identifier: GPL-2.0
"""What the reference's log service does, with FastAPI: one JSON file that is read and
written whole for every request, graphs by matplotlib. A lock keeps requests from
destroying each other's file. As the reference it does not fsync, but with $RIVAL_SYNC:
then what it acknowledges is on the disk, as long as it is not killed while it writes.
Files are in $RIVAL_DATA."""

import json
import os
import threading
from typing import List, Optional

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as pyplot
from fastapi import FastAPI
from fastapi.responses import FileResponse
from pydantic import BaseModel

DATA = os.environ["RIVAL_DATA"]
LOGS = os.path.join(DATA, "logs.json")
LOCK = threading.Lock()

app = FastAPI()


class Record(BaseModel):
    pid: int
    container_id: str
    name: str
    vsz: int
    rss: int
    memory_usage: float
    cpu_usage: float
    action: str
    timestamp: str
    event_id: Optional[str] = None
    host: Optional[str] = None
    image: Optional[str] = None
    reason: Optional[str] = None


def stored():
    if not os.path.exists(LOGS):
        return []
    with open(LOGS) as file:
        return json.load(file)


@app.post("/logs")
def post_logs(records: List[Record]):
    with LOCK:
        everything = stored()
        everything.extend(record.dict() for record in records)
        with open(LOGS, "w") as file:
            json.dump(everything, file)
            if "RIVAL_SYNC" in os.environ:
                file.flush()
                os.fsync(file.fileno())
    return {"received": True}


@app.get("/logs/all")
def all_logs():
    with LOCK:
        return stored()


@app.get("/logs/grafica")
def grafica():
    with LOCK:
        records = stored()
        figure, axes = pyplot.subplots(figsize=(16, 9))
        axes.bar([record["name"] + " " + record["timestamp"] for record in records[-500:]],
                 [record["rss"] for record in records[-500:]])
        picture = os.path.join(DATA, "Processes.png")
        figure.savefig(picture)
        pyplot.close(figure)
    return FileResponse(picture)


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
