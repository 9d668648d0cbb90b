"""rows.json: the same bytes for the same results, once each, merged without loss."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from dori.core.errors import InputError
from dori.results.reading import rows as R


def test_bytes_do_not_depend_on_key_order_noise_or_number_types(rows, tmp_path):
    noisy = [dict(reversed(list(row.items()))) for row in rows]
    value = rows[0]["metrics"]["MR"]["value"]
    noisy[0] = noisy[0] | {"denoiser_evaluations": np.int64(rows[0]["denoiser_evaluations"])}
    noisy[0]["metrics"] = noisy[0]["metrics"] | {
        "MR": rows[0]["metrics"]["MR"] | {"value": np.float64(value * (1 + 1e-14))}
    }
    R.write_rows(tmp_path / "a.json", rows)
    R.write_rows(tmp_path / "b.json", noisy)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["a.json", "b.json"]


def test_reading_gives_back_what_was_written(rows, tmp_path):
    R.write_rows(tmp_path / "rows.json", rows)
    assert R.read_rows(tmp_path / "rows.json") == R.plain(rows)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_what_is_not_finite_becomes_null(value):
    assert R.plain({"value": value}) == {"value": None}


def test_numpy_values_become_plain():
    assert json.dumps(R.plain([np.bool_(True), np.int32(3), np.float32(0.5)])) == "[true, 3, 0.5]"


def test_one_setting_kind_and_params_is_one_row(rows):
    with pytest.raises(InputError, match="unique"):
        R.dumps([*rows, rows[0]])


def test_a_row_without_params_is_refused(rows):
    del rows[0]["params"]
    with pytest.raises(InputError, match="lacks params"):
        R.dumps(rows)


def test_a_tensor_is_refused_by_name(rows):
    rows[0]["metrics"] = object()
    with pytest.raises(InputError, match="object"):
        R.dumps(rows)


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "rows.json").write_text("[{")
    with pytest.raises(InputError, match=r"rows\.json.*run that job again"):
        R.read_rows(tmp_path / "rows.json")


def test_merging_keeps_shared_rows_once_and_all_others(make_rows):
    first, second = make_rows(ratio=0.05), make_rows(ratio=0.1)
    shared = first[0]
    merged = R.merge([first, [shared, *second]])
    assert merged == R.plain(first + second)


def test_merging_names_what_two_jobs_disagree_about(rows, make_rows):
    other = make_rows()
    other[0]["fingerprint"] = "beef"
    with pytest.raises(InputError, match=r"fingerprint differ.*params"):
        R.merge([rows, other])


def test_images_round_trip_and_have_the_same_bytes_in_any_order(images, tmp_path):
    R.write_images(tmp_path / "a.parquet", images)
    R.write_images(tmp_path / "b.parquet", images.sample(frac=1, random_state=0))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert pd.read_parquet(tmp_path / "a.parquet")["file"][0].startswith("images/")
    back = R.read_images(tmp_path / "a.parquet")
    expected = images.sort_values(["setting", "kind", "target", "seed"], ignore_index=True)
    pd.testing.assert_frame_equal(back, expected, check_dtype=False)


def test_of_several_budgets_the_largest_is_shown(images):
    attacked = images.setting.str.contains("+", regex=False)
    frames = [
        images[attacked].assign(steps=float(steps), epsilon=epsilon)
        for steps in (10, 50)
        for epsilon in (0.1, 0.8)
    ]
    several = pd.concat([images[~attacked], *frames], ignore_index=True)
    shown, told = R.at_largest_budget(several)
    assert told == "steps = 50, epsilon = 0.8"
    assert len(shown) == len(images)
    assert set(shown.steps.dropna()) == {50} and set(shown.epsilon.dropna()) == {0.8}
    for one in (images, shown):
        assert R.at_largest_budget(one)[0].equals(one) and R.at_largest_budget(one)[1] == ""
