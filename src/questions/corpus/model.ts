/**
 * The model as one module. Both the mutants and the unmodified model are bundled from this file.
 */
export { findPolicy } from '../../host/policy/index.js';
export { findCpuModel } from '../../hw/cpu_models.js';
export { ShapeCampaign } from '../../campaign/shape_campaign.js';
