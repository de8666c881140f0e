import assert from "node:assert/strict";
import { test } from "node:test";
import { ownSide } from "../../../../service/web/js/map/pictures.js";

test("a picture of what the network sees needs no more pixels than the image has there", () => {
  assert.equal(ownSide({ width: 48, height: 32 }, [32, 32]), 32);
  assert.equal(ownSide({ width: 300, height: 200 }, [32, 32]), 200);
  assert.equal(ownSide({ width: 400, height: 400 }, [100, 200]), 400);
});

test("a picture is never smaller than the network's input", () => {
  assert.equal(ownSide({ width: 10, height: 20 }, [224, 224]), 224);
});
