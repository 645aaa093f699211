"""A Spark session of this machine for the tests; where there is no Java or no Spark they are skipped by name."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def session(cores: int = 2) -> Any:
    """local[cores], two partitions, nothing shown."""
    sql = pytest.importorskip("pyspark.sql", reason="needs Spark: pip install 'forecast[spark]'")
    if shutil.which("java") is None and not os.environ.get("JAVA_HOME"):
        pytest.skip("needs Java 17 or newer for Spark: none on the PATH")
    os.environ["PYTHONPATH"] = str(ROOT)  # of Spark's workers
    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    made = sql.SparkSession.builder.master(f"local[{cores}]").appName("forecast")
    settings = {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "1g",
        "spark.log.level": "ERROR",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    for key, value in settings.items():
        made = made.config(key, value)
    return made.getOrCreate()
