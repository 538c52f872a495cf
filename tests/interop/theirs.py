"""Runs in the ancestor's environment: imports a bundle into its store in memory, and runs what came.

Its one argument is a JSON object: `bundle`, `key`, `libraries` (folders where packages lie that it does not have),
`runs` (objects of `algorithm`, `minor`, `checkpoint`, `inputs`, `parameters`), `outputs` (a folder), `built` (where it
is to build a bundle of its own). It prints another: `state` of the import, `algorithms` (their records), and for each
of the runs `status`, `log` and `outputs`.
"""

import json
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

request = json.loads(sys.argv[1])
sys.path += request["libraries"]

from compox.algorithm_utils.AlgorithmConfigSchema import AdditionalParameterSchema  # noqa: E402
from compox.components.builtin_algorithm_importer import BuiltinAlgorithmImporter  # noqa: E402
from compox.components.compox_algorithm_bundle_builder import CompoxAlgorithmBundleBuilder  # noqa: E402
from compox.database_connection.InMemoryConnection import InMemoryConnection  # noqa: E402
from compox.pydantic_models import ExecutionRecord  # noqa: E402
from compox.tasks.fastapi_background_task import execution_task_fastapi  # noqa: E402

COLLECTIONS = ["algorithm-store", "module-store", "asset-store", "algorithm-checkpoint-store", "system-store"]
store = InMemoryConnection()
store.create_collections([*COLLECTIONS, "data-store", "execution-store", "stop-requests"])


def imported():
    storage = SimpleNamespace(builtin_storage_bundle_path=request["bundle"], builtin_storage_bundle_key=request["key"])
    BuiltinAlgorithmImporter(store, SimpleNamespace(storage=storage)).run_startup_migration()
    return json.loads(store.get_objects("system-store", ["migration-state"])[0])


def records(collection):
    return [json.loads(each) for each in store.get_objects(collection, store.list_objects(collection))]


def run(algorithm, minor, checkpoint, inputs, parameters):
    ids = [str(uuid.uuid4()) for _ in inputs]
    store.put_objects("data-store", ids, [Path(path).read_bytes() for path in inputs])
    ids_by_name = {each["algorithm_name"]: each["algorithm_id"] for each in records("algorithm-store")}
    record = ExecutionRecord(
        execution_id=str(uuid.uuid4()),
        algorithm_id=ids_by_name[algorithm],
        algorithm_minor_version=minor,
        checkpoint_id=checkpoint,
        input_dataset_ids=ids,
        additional_parameters=parameters,
        session_token=None,
        output_dataset_ids=[],
        status="PENDING",
        progress=0.0,
        time_started="",
        time_completed="",
        log="",
    )
    store.put_objects("execution-store", [record.execution_id], [record.model_dump_json()])
    execution_task_fastapi(store, record)  # which logs what it raises
    ended = json.loads(store.get_objects("execution-store", [record.execution_id])[0])
    outputs = []
    for number, data in enumerate(store.get_objects("data-store", ended["output_dataset_ids"])):
        path = Path(request["outputs"]) / f"{record.execution_id}_{number}.h5"
        path.write_bytes(data)
        outputs.append(str(path))
    return {"status": ended["status"], "log": ended["log"], "outputs": outputs}


state = imported()
for each in records("algorithm-store"):
    for parameter in each["additional_parameters"] + each["training_parameters"] + each["benchmark_outputs"]:
        AdditionalParameterSchema.model_validate(parameter)  # as its listing does, which fails as a whole
runs = [run(**each) for each in request["runs"]]
if request["built"]:
    CompoxAlgorithmBundleBuilder(store, request["key"]).build(request["built"])
print(json.dumps({"state": state, "algorithms": records("algorithm-store"), "runs": runs}))
