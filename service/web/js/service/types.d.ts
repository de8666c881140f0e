// What the page uses of the service's wire; the whole of it is in /openapi.json.

export interface ClassScore {
  index: number;
  label: string;
  probability: number;
  logit: number;
}

/** Left, top, right, bottom of what the network saw, in pixels of the upright image. */
export type Box = [left: number, top: number, right: number, bottom: number];

export interface Conservation {
  start: number;
  arrived: number;
  /** null where the start is 0 or the method does not conserve relevance */
  ratio: number | null;
  /** the sums of what arrived above and below zero */
  positive: number;
  negative: number;
  /** what biases and stabilizers kept; null where the method does not conserve relevance */
  absorbed: number | null;
  by_layer: { layer: string; arrived: number }[] | null;
}

/** float32, little-endian, in C order, as base64. */
export interface RelevanceArray {
  shape: number[];
  dtype: "float32";
  data: string;
}

export type Start = "logit" | "one_hot";

/** The response of `/explain` with `output=relevance`. */
export interface ExplainResponse {
  model: string;
  model_sha256: string;
  predictions: ClassScore[];
  target: ClassScore;
  method: { attributor: string; composite: string; contrast: string | null; start: Start };
  conservation: Conservation;
  image: {
    width: number;
    height: number;
    box: Box;
    /** base64 of a PNG: the part that the network saw, where `output` names it */
    view?: string;
  };
  relevance: RelevanceArray;
}

/** What happens to the probability of the target while more and more of the image is hidden. */
export interface Deletion {
  /** shares of the image */
  hidden: number[];
  most_relevant_first: number[];
  least_relevant_first: number[];
  random: { orders: number; mean: number[]; std: number[] };
}

/** Whether a map is right about its image. */
export interface ExplanationEvidence {
  verdict: "supported" | "not supported" | "undecided";
  /** the verdict in words, with the numbers behind it */
  text: string;
  deletion: Deletion;
  /** the similarity of the maps of noisy copies; null where a map is constant */
  stability: { copies: number; mean: number | null; std: number | null };
}

/** The response of `/explain` with `output=evidence`. */
export interface EvidenceResponse {
  model: string;
  model_sha256: string;
  evidence: ExplanationEvidence;
}

/** The response of `/explain` with `output=relevance` and `layers`. */
export interface LayersResponse {
  model: string;
  model_sha256: string;
  layers: { layer: string; relevance: RelevanceArray }[];
}

export interface PredictResponse {
  predictions: ClassScore[];
}

/** `application/problem+json` (RFC 9457). */
export interface ProblemDetails {
  type?: string;
  title: string;
  status?: number;
  /** what to do */
  detail?: string;
}

export interface Parameter {
  name: string;
  kind: "number" | "integer" | "boolean" | "enum" | string;
  /** null where it follows from the size of the network's input */
  default: number | boolean | string | null;
  text: string;
  minimum: number | null;
  maximum: number | null;
  choices: string[];
  /** what is taken where no value is given and `default` is null */
  automatic?: string;
}

/** A composite or an attributor. */
export interface Method {
  name: string;
  text: string;
  parameters: Parameter[];
}

export interface Composite extends Method {
  /** by default; not known before the model is loaded, nor of the composites of a bundle */
  start?: Start | null;
}

export interface Attributor extends Method {
  /** whether it goes with composites, layers and starts */
  is_modified: boolean;
}

export interface Colormap {
  name: string;
  text: string;
  /** base64 of a PNG: the colours from against over nothing to for */
  strip: string;
}

export interface Layer {
  name: string;
  /** the class of its module */
  kind: string;
  /** of its output, for one image */
  shape: number[];
}

export interface Epoch {
  epoch: number;
  training_loss: number;
  validation_loss: number;
  validation_accuracy: number;
}

/** The mean of a measure over images, with its interval. */
export interface Score {
  mean: number;
  low: number;
  high: number;
  n: number;
}

/** How faithful the maps of each method are, as a card has it. */
export interface Evidence {
  data: string;
  n: number;
  /** the measure by which methods are ranked */
  decided_by: string;
  measures: Record<string, { text: string; higher_is_better: boolean | null }>;
  /** by method, the best first; by measure */
  methods: Record<string, Record<string, Score>>;
  baselines: string[];
  best: string[];
  hardware: string;
  /** ISO 8601 */
  measured_at: string;
}

/** The method of requests that name neither a composite nor an attributor. */
export interface DefaultMethod {
  composite: string | null;
  attributor: string | null;
}

export interface Model {
  name: string;
  architecture: string;
  labels: string[];
  /** height and width, in pixels */
  input_size: [height: number, width: number];
  accuracy: Record<string, { accuracy: number; n: number }>;
  /** by split: number of images by true class (row) and predicted class (column) */
  confusion: Record<string, number[][]>;
  /** empty where it is not known */
  history: Epoch[];
  provenance: Record<string, unknown>;
  sha256: string;
  default_method: DefaultMethod | null;
  evidence: Evidence | null;
  default: boolean;
  ready: boolean;
  /** empty before the model is loaded */
  layers: Layer[];
  composites: Composite[];
  /** the composites of the model's bundle, by name */
  own_composites: Record<string, unknown>;
  attributors: Attributor[];
  colormaps: Colormap[];
}

/** An image of more gets a 413. */
export interface Limits {
  max_body_bytes: number;
  max_pixels: number;
  max_images: number;
}

export interface ModelList {
  models: Model[];
  limits: Limits;
}

/** Options of a request by name; undefined and "" are left out. */
export type Options = Record<string, string | number | boolean | undefined>;

/** A rectangle of relevance, row by row. */
export interface Grid {
  values: Float32Array;
  width: number;
  height: number;
}

/** An explanation with its relevance as numbers. */
export interface Explanation extends ExplainResponse, Grid {
  /** null where it came from the service's cache */
  computeMs: number | null;
}
